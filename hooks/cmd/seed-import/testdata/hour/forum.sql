-- A forum in Russian: names of tables and columns in Cyrillic, messages in trees, sort orders, rules about rows, several schemas.
CREATE SCHEMA IF NOT EXISTS {P};
CREATE SCHEMA "служебная{S}";
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Людмила', 'Вячеслав', 'Зинаида', 'Ярослав', 'Оксана', 'Тимофей', 'Галина', 'Рустам', 'Евдокия', 'Фёдор') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 3 + 1, 'Щербаков', 'Кузнецова', 'Воробьёв', 'Гаврилюк', 'Ахметов', 'Петренко', 'Соловьёва', 'Жуковский') $$;
CREATE TYPE "состояние" AS ENUM ('активен', 'заблокирован', 'удалён');
CREATE TABLE "пользователи" ("ид" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "логин" text NOT NULL, "пароль" text NOT NULL, "имя" text, "отчество" text, "фамилия" text, "почта" text, "телефон" text, "дата рождения" date, "город" text, "о себе" text, "состояние" "состояние" DEFAULT 'активен', "пригласил" bigint REFERENCES "пользователи", "настройки" jsonb, "создан" timestamptz);
CREATE UNIQUE INDEX "логин без регистра" ON "пользователи" (lower("логин")); CREATE UNIQUE INDEX ON "пользователи" ("почта") WHERE "состояние" <> 'удалён';
INSERT INTO "пользователи" ("логин", "пароль", "имя", "отчество", "фамилия", "почта", "телефон", "дата рождения", "город", "о себе", "состояние", "пригласил", "настройки", "создан") SELECT pg_temp.pick(g, 'Kotik', 'волк', 'Sanya', 'ёжик') || g, '$2b$10$' || left(encode(sha512(g::text::bytea), 'base64'), 53), pg_temp.given(g), pg_temp.pick(g, 'Ивановна', 'Петрович', 'Олегович'), pg_temp.family(g), 'user' || g || '@yandex.test', '+7 916 ' || lpad((g * 7919 % 9999999)::text, 7, '0'), date '1965-01-01' + g * 47, pg_temp.pick(g, 'Тверь', 'Казань', 'Омск'), CASE WHEN g % 3 = 0 THEN 'Меня зовут ' || pg_temp.given(g) || ', живу в деревне и пишу стихи.' END, CASE WHEN g % 20 = 0 THEN 'удалён' ELSE 'активен' END::"состояние", NULL, jsonb_build_object('тема', 'тёмная', 'подпись', pg_temp.given(g) || ' ' || pg_temp.family(g), 'icq', 100000000 + g * 331), timestamptz '2020-01-01' + g * interval '3 hours' FROM generate_series(1, 300) g;
UPDATE "пользователи" SET "пригласил" = "ид" / 3 WHERE "ид" > 10;
CREATE TABLE "темы" ("ид" serial PRIMARY KEY, "заголовок" varchar(120) NOT NULL, "автор" bigint REFERENCES "пользователи", "закреплена" boolean DEFAULT false); INSERT INTO "темы" ("заголовок", "автор") SELECT pg_temp.pick(g, 'Как настроить принтер', 'Продам гараж', 'Знакомства') || ' №' || g, 1 + g % 300 FROM generate_series(1, 80) g;
CREATE TABLE "сообщения" ("ид" bigserial PRIMARY KEY, "тема" int NOT NULL REFERENCES "темы", "ответ на" bigint REFERENCES "сообщения", "автор" bigint NOT NULL REFERENCES "пользователи", "текст" text NOT NULL, "ip" inet, "правил" text, "оценки" int[] DEFAULT '{}', "поиск" tsvector);
INSERT INTO "сообщения" ("тема", "ответ на", "автор", "текст", "ip", "правил", "оценки", "поиск") SELECT 1 + g % 80, CASE WHEN g > 100 THEN g / 2 END, 1 + g % 300, pg_temp.given(g) || ', здравствуйте! Звоните мне по номеру 8-916-' || 1000000 + g * 7 || ', отвечу вечером.', ('95.24.' || g % 250 || '.' || g % 240)::inet, CASE WHEN g % 10 = 0 THEN 'модератор ' || pg_temp.given(g % 3) END, ARRAY[g % 5, g % 3], to_tsvector('russian', 'привет мир ' || g) FROM generate_series(1, 800) g;
CREATE TABLE "личные" ("от" bigint REFERENCES "пользователи", "кому" bigint REFERENCES "пользователи", "отправлено" timestamptz, "тело" text, PRIMARY KEY ("от", "кому", "отправлено"), CHECK ("от" <> "кому")); INSERT INTO "личные" SELECT 1 + g % 300, 1 + (g + 7) % 300, timestamptz '2024-01-01' + g * interval '1 hour', 'Адрес мой: ул. ' || pg_temp.family(g) || ' дом ' || g || ', приезжай.' FROM generate_series(1, 300) g;
CREATE TABLE "служебная{S}"."журнал входов" ("пользователь" text, "когда" timestamptz, "откуда" inet, "браузер" text, "успех" boolean); INSERT INTO "служебная{S}"."журнал входов" SELECT pg_temp.pick(g % 300 + 1, 'Kotik', 'волк', 'Sanya', 'ёжик') || (g % 300 + 1), timestamptz '2024-01-01' + g * interval '9 minutes', ('95.24.' || g % 250 || '.1')::inet, 'Mozilla/5.0 (Windows NT 10.0) Firefox/12' || g % 9, g % 6 > 0 FROM generate_series(1, 400) g;
CREATE VIEW "служебная{S}"."кто где" AS SELECT u."логин", count(*) AS "сколько" FROM {P}."пользователи" u JOIN {P}."сообщения" m ON m."автор" = u."ид" GROUP BY u."ид"; CREATE COLLATION "без учёта" (provider = icu, locale = 'ru-u-ks-level2', deterministic = false); CREATE TABLE "теги" ("тег" text COLLATE "без учёта" PRIMARY KEY, "описание" text); INSERT INTO "теги" SELECT pg_temp.pick(g, 'дача', 'авто', 'кино') || g, 'Всё про ' || g FROM generate_series(1, 30) g;
COMMENT ON TABLE "пользователи" IS 'Все, кто зарегистрирован';
-- about somebody: "пользователи" | "логин" | "пароль" | "имя" | "отчество" | "фамилия" | "почта" | "телефон" | "дата рождения" | "о себе" | "настройки" ->> 'подпись' | "настройки" ->> 'icq'
-- either: "пользователи" | "город" | "настройки" | "ид" | "пригласил"
-- either: "темы" | "заголовок"
-- about somebody: "сообщения" | "текст" | "ip" | "правил"
-- either: "сообщения" | "поиск"
-- about somebody: "личные" | "тело"
-- about somebody: "служебная{S}"."журнал входов" | "пользователь" | "откуда"
-- either: "служебная{S}"."журнал входов" | "браузер"
-- either: "теги" | "тег" | "описание"
