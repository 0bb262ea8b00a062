-- Texts as people search for them: without regard to case, to forms of a character that mean the same, and to the accents
-- of Latin, Greek and Cyrillic letters. No replica decides by this form, and nothing of it is in the log or in a
-- snapshot: each database makes it, for its rows and for what is searched for, so its tables may be those of any
-- version of Unicode. Without ICU only ASCII has cases.
DO $do$
DECLARE
    icu text := CASE WHEN EXISTS (SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN 'und-x-icu' ELSE 'C' END;
BEGIN
    EXECUTE format($sql$
        CREATE FUNCTION search_form(t text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
            CASE WHEN octet_length(t) = length(t) THEN lower(t COLLATE "C")
            ELSE translate(replace(replace(replace(replace(
                lower(normalize(regexp_replace(normalize(t, NFKD) COLLATE "C", '[\u0300-\u036f]+', '', 'g'), NFC) COLLATE %I) COLLATE "C",
                'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th'), 'łøđħŧðıς', 'lodhtdiσ') END
        $sql$, icu);
END $do$;

-- The words of such a text, cut to what a tsvector surely takes, without punctuation and without the spaces that the parser does not know.
CREATE FUNCTION search_words(t text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    to_tsvector('simple'::regconfig, translate(left(search_form(t), 100000), $p$!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~“”„‘’‚«»‹›–—―‐·¿¡、。「」『』【】〈〉《》・،؛؟।$p$ || U&'\0085\1680\2028\2029', repeat(' ', 70)));

-- Beginnings of names. They are cut, because an index takes no long ones, and a character may become many.
CREATE INDEX users_nickname ON users (left(search_form(nickname), 64) COLLATE "C");
CREATE INDEX users_first_name ON users (left(search_form(first_name), 64) COLLATE "C");
CREATE INDEX users_last_name ON users (left(search_form(last_name), 64) COLLATE "C");

DROP INDEX files_name, file_texts_words;
CREATE INDEX files_name ON files USING gin (search_words(name)) WHERE delete_at = 0 AND post_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX file_texts_words ON file_texts USING gin (search_words(text));
