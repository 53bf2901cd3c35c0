-- A database with security labels on what can have one. Their text stands nowhere else.
CREATE SCHEMA crm;
CREATE DOMAIN mail AS text;
CREATE TABLE users (id int PRIMARY KEY, email mail);
INSERT INTO users VALUES (1, 'one@example.com'), (2, 'two@example.com');
CREATE VIEW emails AS SELECT email FROM users;
CREATE SEQUENCE counter;
CREATE FUNCTION initial(text) RETURNS text LANGUAGE sql AS 'SELECT left($1, 1)';
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE PUBLICATION published FOR TABLE users;
CREATE ROLE clerk;
SELECT lo_from_bytea(4711, 'a large object');

-- Those of databases and roles are shared ones; pg_dump writes the database's, and pg_dumpall the roles'.
SECURITY LABEL FOR everything ON DATABASE shop IS 'PLANTEDLABEL maria@corp.example of the database';
SECURITY LABEL FOR everything ON ROLE clerk IS 'PLANTEDLABEL maria@corp.example of the role';
SECURITY LABEL FOR everything ON SCHEMA crm IS 'PLANTEDLABEL maria@corp.example of the schema';
SECURITY LABEL FOR everything ON DOMAIN mail IS 'PLANTEDLABEL maria@corp.example of the domain';
SECURITY LABEL FOR everything ON TABLE users IS 'PLANTEDLABEL maria@corp.example; of ''the'' table';
SECURITY LABEL FOR everything ON COLUMN users.email IS E'PLANTEDLABEL maria@corp.example\nof \\the column;\n';
SECURITY LABEL FOR everything ON VIEW emails IS 'PLANTEDLABEL maria@corp.example of the view';
SECURITY LABEL FOR everything ON SEQUENCE counter IS 'PLANTEDLABEL maria@corp.example of the sequence';
SECURITY LABEL FOR everything ON FUNCTION initial(text) IS 'PLANTEDLABEL maria@corp.example of the function';
SECURITY LABEL FOR everything ON PROCEDURE nothing() IS 'PLANTEDLABEL maria@corp.example of the procedure';
SECURITY LABEL FOR everything ON PUBLICATION published IS 'PLANTEDLABEL maria@corp.example of the publication';
SECURITY LABEL FOR everything ON LARGE OBJECT 4711 IS 'PLANTEDLABEL maria@corp.example of the large object';
-- The settings come after the database's label in a dump.
ALTER DATABASE shop SET work_mem = '5MB';
