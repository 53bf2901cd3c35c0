--
-- PostgreSQL database dump
--

\restrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw

-- Dumped from database version 17.12 (Debian 17.12-0+deb13u1)
-- Dumped by pg_dump version 17.12 (Debian 17.12-0+deb13u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: shop; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';


ALTER DATABASE shop OWNER TO postgres;

\unrestrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw
\connect shop
\restrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: DATABASE shop; Type: SECURITY LABEL; Schema: -; Owner: postgres
--

SECURITY LABEL FOR everything ON DATABASE shop IS 'PLANTEDLABEL maria@corp.example of the database';


--
-- Name: shop; Type: DATABASE PROPERTIES; Schema: -; Owner: postgres
--

ALTER DATABASE shop SET work_mem TO '5MB';


\unrestrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw
\connect shop
\restrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: crm; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA crm;


ALTER SCHEMA crm OWNER TO postgres;

--
-- Name: SCHEMA crm; Type: SECURITY LABEL; Schema: -; Owner: postgres
--

SECURITY LABEL FOR everything ON SCHEMA crm IS 'PLANTEDLABEL maria@corp.example of the schema';


--
-- Name: mail; Type: DOMAIN; Schema: public; Owner: postgres
--

CREATE DOMAIN public.mail AS text;


ALTER DOMAIN public.mail OWNER TO postgres;

--
-- Name: DOMAIN mail; Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON DOMAIN public.mail IS 'PLANTEDLABEL maria@corp.example of the domain';


--
-- Name: initial(text); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.initial(text) RETURNS text
    LANGUAGE sql
    AS $_$SELECT left($1, 1)$_$;


ALTER FUNCTION public.initial(text) OWNER TO postgres;

--
-- Name: FUNCTION initial(text); Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON FUNCTION public.initial(text) IS 'PLANTEDLABEL maria@corp.example of the function';


--
-- Name: nothing(); Type: PROCEDURE; Schema: public; Owner: postgres
--

CREATE PROCEDURE public.nothing()
    LANGUAGE sql
    AS $$SELECT 1$$;


ALTER PROCEDURE public.nothing() OWNER TO postgres;

--
-- Name: PROCEDURE nothing(); Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON PROCEDURE public.nothing() IS 'PLANTEDLABEL maria@corp.example of the procedure';


--
-- Name: counter; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.counter
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.counter OWNER TO postgres;

--
-- Name: SEQUENCE counter; Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON SEQUENCE public.counter IS 'PLANTEDLABEL maria@corp.example of the sequence';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    id integer NOT NULL,
    email public.mail
);


ALTER TABLE public.users OWNER TO postgres;

--
-- Name: TABLE users; Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON TABLE public.users IS 'PLANTEDLABEL maria@corp.example; of ''the'' table';
SECURITY LABEL FOR everything ON COLUMN public.users.email IS 'PLANTEDLABEL maria@corp.example
of \the column;
';


--
-- Name: emails; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.emails AS
 SELECT email
   FROM public.users;


ALTER VIEW public.emails OWNER TO postgres;

--
-- Name: VIEW emails; Type: SECURITY LABEL; Schema: public; Owner: postgres
--

SECURITY LABEL FOR everything ON VIEW public.emails IS 'PLANTEDLABEL maria@corp.example of the view';


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.users (id, email) FROM stdin;
1	one@example.com
2	two@example.com
\.


--
-- Name: counter; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.counter', 1, false);


--
-- Name: 4711; Type: BLOB METADATA; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('4711');

ALTER LARGE OBJECT 4711 OWNER TO postgres;

--
-- Name: LARGE OBJECT 4711; Type: SECURITY LABEL; Schema: -; Owner: postgres
--

SECURITY LABEL FOR everything ON LARGE OBJECT 4711 IS 'PLANTEDLABEL maria@corp.example of the large object';


--
-- Data for Name: 4711; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('4711', 131072);
SELECT pg_catalog.lowrite(0, '\x61206c61726765206f626a656374');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- Name: published; Type: PUBLICATION; Schema: -; Owner: postgres
--

CREATE PUBLICATION published WITH (publish = 'insert, update, delete, truncate');


ALTER PUBLICATION published OWNER TO postgres;

--
-- Name: PUBLICATION published; Type: SECURITY LABEL; Schema: -; Owner: postgres
--

SECURITY LABEL FOR everything ON PUBLICATION published IS 'PLANTEDLABEL maria@corp.example of the publication';


--
-- Name: published users; Type: PUBLICATION TABLE; Schema: public; Owner: postgres
--

ALTER PUBLICATION published ADD TABLE ONLY public.users;


--
-- PostgreSQL database dump complete
--

\unrestrict VEFoWqBrpD0q11FgguiDBRpcAttsAEK3fKKzQVR6Zi6glyxZ3bfQenvtVSSqiZw

