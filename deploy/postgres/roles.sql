-- Once, as a superuser. The owner migrates; the application works as tsumugi_app, which
-- `manage.py grant_roles` lets read and write records, and only add to the log.
CREATE ROLE tsumugi LOGIN;
CREATE ROLE tsumugi_app LOGIN;
CREATE DATABASE tsumugi OWNER tsumugi;
REVOKE ALL ON DATABASE tsumugi FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE tsumugi TO tsumugi_app;
-- Give both a password of their own: \password tsumugi  and  \password tsumugi_app
