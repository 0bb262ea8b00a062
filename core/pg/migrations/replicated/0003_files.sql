-- Files and their bytes by name. The bytes are elsewhere: a blob is the SHA-256 of them, NULL
-- where there is none.
--
-- What is searched for goes through translate first, so that a name's dots and dashes part
-- words and no text is taken for an address or a path. Queries must say the very same
-- expressions; core/read has them.

CREATE TABLE files (
    id             uuid    PRIMARY KEY,
    user_id        uuid    NOT NULL,
    post_id        uuid    NOT NULL,
    channel_id     uuid    NOT NULL,
    create_at      bigint  NOT NULL,
    update_at      bigint  NOT NULL,
    delete_at      bigint  NOT NULL,
    size           bigint  NOT NULL,
    width          bigint  NOT NULL,
    height         bigint  NOT NULL,
    content_size   bigint  NOT NULL,
    thumbnail_size bigint  NOT NULL,
    preview_size   bigint  NOT NULL,
    has_preview    boolean NOT NULL,
    archived       boolean NOT NULL,
    name           text COLLATE "C" NOT NULL,
    extension      text COLLATE "C" NOT NULL,
    mime_type      text COLLATE "C" NOT NULL,
    remote_id      text COLLATE "C" NOT NULL,
    content        bytea,
    thumbnail      bytea,
    preview        bytea,
    mini_preview   bytea
);
-- Files without a post are in none of these: attaching one makes its entries, once.
CREATE INDEX files_post ON files (post_id) WHERE post_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX files_channel ON files (channel_id, create_at) WHERE delete_at = 0 AND post_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX files_name ON files USING gin (to_tsvector('simple', translate(name, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')))
    WHERE delete_at = 0 AND post_id <> '00000000-0000-0000-0000-000000000000';

-- What the content of a file that is not deleted says.
CREATE TABLE file_texts (
    file_id uuid PRIMARY KEY,
    text    text COLLATE "C" NOT NULL
);
CREATE INDEX file_texts_words ON file_texts USING gin (to_tsvector('simple', translate(text, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', '                                ')));

CREATE TABLE uploads (
    id          uuid   PRIMARY KEY,
    user_id     uuid   NOT NULL,
    channel_id  uuid   NOT NULL,
    create_at   bigint NOT NULL,
    file_size   bigint NOT NULL,
    file_offset bigint NOT NULL,
    type        text COLLATE "C" NOT NULL,
    filename    text COLLATE "C" NOT NULL,
    parts       bytea
);
CREATE INDEX uploads_user ON uploads (user_id);
CREATE INDEX uploads_age ON uploads (create_at, id);

-- How often files, pictures and uploads name each blob.
CREATE TABLE blobs (
    size        bigint NOT NULL,
    refs        bigint NOT NULL,
    released_at bigint NOT NULL,
    id          bytea  PRIMARY KEY
);

-- Public links, by the SHA-256 of their tokens.
CREATE TABLE file_links (
    file_id   uuid   NOT NULL,
    create_at bigint NOT NULL,
    link      bytea  PRIMARY KEY
);

ALTER TABLE posts ADD COLUMN file_ids bytea;

ALTER TABLE users ADD COLUMN picture bytea;
ALTER TABLE users ADD COLUMN picture_size bigint NOT NULL DEFAULT 0;
