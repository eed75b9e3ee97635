-- Once, as a superuser. The owner migrates; the application works as tsumugi_app, which
-- `manage.py grant_roles` lets read and write records, and only add to the log.
CREATE ROLE tsumugi LOGIN;
CREATE ROLE tsumugi_app LOGIN;
CREATE DATABASE tsumugi OWNER tsumugi;
REVOKE ALL ON DATABASE tsumugi FROM PUBLIC;
-- No temporary tables: one named like the log's would take its lines.
GRANT CONNECT ON DATABASE tsumugi TO tsumugi_app;
ALTER ROLE tsumugi_app SET search_path = public, pg_temp;
-- Give both a password of their own: \password tsumugi  and  \password tsumugi_app
