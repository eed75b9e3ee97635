"""Pages for people: staff bring files in and link numbers; families see, allow and end the links."""
