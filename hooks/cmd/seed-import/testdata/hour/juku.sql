-- A small school in Japan: few rows, empty tables, names of columns in romaji and kanji, a person's name in two scripts.
CREATE SCHEMA IF NOT EXISTS {P};
SET search_path = {P}, public;
CREATE TABLE seito (seito_id serial PRIMARY KEY, shimei varchar(30) NOT NULL, furigana varchar(40), seinengappi date, gakunen smallint CHECK (gakunen BETWEEN 1 AND 12), hogosha_mei varchar(30), denwa varchar(16), jusho text, yubin_bango char(8), memo text, gakusei_bango char(7) NOT NULL UNIQUE);
INSERT INTO seito (shimei, furigana, seinengappi, gakunen, hogosha_mei, denwa, jusho, yubin_bango, memo, gakusei_bango) VALUES
	('小笠原 凛', 'オガサワラ リン', '2012-04-03', 6, '小笠原 誠', '045-221-8871', '神奈川県横浜市中区山手町1-2', '231-0862', 'ピアノも習っている', 'S240001'), ('早乙女 健太', 'サオトメ ケンタ', '2011-09-14', 7, '早乙女 恵', '090-3312-7765', '神奈川県鎌倉市大町4-5-6', '248-0007', NULL, 'S240002'),
	('阿久津 みどり', 'アクツ ミドリ', '2013-01-22', 5, '阿久津 隆', '0467-22-1188', '神奈川県逗子市桜山3-9', '249-0005', '母親が迎えに来る', 'S240003'), ('工藤 勇気', 'クドウ ユウキ', '2010-12-02', 8, '工藤 由美', '080-1177-2299', '東京都町田市原町田2-1', '194-0013', NULL, 'S240004');
CREATE TABLE "講師" ("番号" int PRIMARY KEY, "氏名" text, "メール" text, "時給" int, "担当科目" text[]); INSERT INTO "講師" VALUES (1, '榊原 直樹', 'sakakibara@juku.test', 2400, '{数学,理科}'), (2, '三浦 香織', 'miura.k@juku.test', 2200, '{英語}'), (3, '長谷部 徹', 'hasebe@juku.test', 2600, '{国語}');
CREATE TABLE kurasu (kurasu_id int PRIMARY KEY, kyoshitsu varchar(20), koshi int REFERENCES "講師", jikanwari jsonb); INSERT INTO kurasu VALUES (1, '第一教室', 1, '{"月": ["17:00", "18:30"], "担当": "榊原 直樹"}'), (2, '第二教室', 2, '{"火": ["17:00"], "担当": "三浦 香織"}');
CREATE TABLE seiseki (seito_id int REFERENCES seito, kurasu_id int REFERENCES kurasu, tensu numeric(4,1) CHECK (tensu BETWEEN 0 AND 100), koment text, PRIMARY KEY (seito_id, kurasu_id)); INSERT INTO seiseki VALUES (1, 1, 82.5, '凛さんはよく頑張りました'), (2, 1, 61, NULL), (3, 2, 95, 'みどりさん、満点に近い'), (4, 2, 47.5, '宿題を忘れた');
CREATE TABLE taikai (id int PRIMARY KEY, riyu text, tokoro text); CREATE TABLE nyukin (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kana_meigi varchar(48), kingaku int, hi date); CREATE VIEW ichiran AS SELECT shimei, gakunen, hogosha_mei FROM seito; CREATE UNIQUE INDEX ON seito (replace(denwa, '-', ''));
-- about somebody: seito | shimei | furigana | seinengappi | hogosha_mei | denwa | jusho | memo | gakusei_bango
-- either: seito | yubin_bango | gakunen
-- about somebody: "講師" | "氏名" | "メール"
-- either: "講師" | "担当科目" | "時給"
-- about somebody: kurasu | jikanwari ->> '担当'
-- either: kurasu | jikanwari | kyoshitsu
-- about somebody: seiseki | koment
-- either: seiseki | tensu
