-- What the log makes: the same on every replica at one position.
--
-- An id is a uuid and the zero uuid means "none"; times are Unix milliseconds and 0 means
-- "never"; a map or list is CBOR in a bytea, NULL when there is none, because decisions read
-- it back and must find exactly what was written. Wide columns come first: no padding.
--
-- Names that apply keeps unique are checked at the end of the transaction, since one batch
-- may free a name and give it away again in any order.

CREATE TABLE applied (
    at     bigint  NOT NULL, -- Unix nanoseconds, unlike every other time here
    epoch  bigint  NOT NULL,
    index  bigint  NOT NULL,
    digest uuid    NOT NULL,
    one    boolean PRIMARY KEY CHECK (one)
) WITH (fillfactor = 10);
INSERT INTO applied (at, epoch, index, digest, one) VALUES (0, 0, 0, '00000000-0000-0000-0000-000000000000', true);

-- One row for each entry of the last days. A repeated proposal has no outcome of its own.
CREATE TABLE entries (
    index    bigint PRIMARY KEY,
    at       bigint NOT NULL,
    proposal uuid   NOT NULL,
    digest   uuid   NOT NULL,
    accepted boolean NOT NULL,
    outcome  bytea
);
CREATE UNIQUE INDEX entries_proposal ON entries (proposal) WHERE accepted;
CREATE INDEX entries_at ON entries USING brin (at) WITH (pages_per_range = 32);

CREATE TABLE users (
    id                   uuid    PRIMARY KEY,
    create_at            bigint  NOT NULL,
    update_at            bigint  NOT NULL,
    delete_at            bigint  NOT NULL,
    last_password_update bigint  NOT NULL,
    last_picture_update  bigint  NOT NULL,
    email_verified       boolean NOT NULL,
    username             text COLLATE "C" NOT NULL,
    email                text COLLATE "C" NOT NULL,
    auth_service         text COLLATE "C" NOT NULL,
    nickname             text COLLATE "C" NOT NULL,
    first_name           text COLLATE "C" NOT NULL,
    last_name            text COLLATE "C" NOT NULL,
    position             text COLLATE "C" NOT NULL,
    roles                text COLLATE "C" NOT NULL,
    locale               text COLLATE "C" NOT NULL,
    props                bytea,
    notify_props         bytea,
    timezone             bytea,
    picture              bytea,
    password_seal        bytea   NOT NULL,
    picture_size         bigint  NOT NULL DEFAULT 0,
    CONSTRAINT users_username UNIQUE (username) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT users_email UNIQUE (email) DEFERRABLE INITIALLY DEFERRED
);

-- A token's hash is not unique by law: an edge at fault could propose one twice, and that must
-- not stop every replica.
CREATE TABLE sessions (
    id               uuid   PRIMARY KEY,
    user_id          uuid   NOT NULL,
    create_at        bigint NOT NULL,
    expires_at       bigint NOT NULL,
    last_activity_at bigint NOT NULL,
    token            bytea  NOT NULL,
    device_id        text COLLATE "C" NOT NULL,
    roles            text COLLATE "C" NOT NULL,
    props            bytea
);
CREATE INDEX sessions_token ON sessions (token);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE teams (
    id                    uuid    PRIMARY KEY,
    create_at             bigint  NOT NULL,
    update_at             bigint  NOT NULL,
    delete_at             bigint  NOT NULL,
    last_team_icon_update bigint  NOT NULL,
    allow_open_invite     boolean NOT NULL,
    type                  text COLLATE "C" NOT NULL,
    name                  text COLLATE "C" NOT NULL,
    display_name          text COLLATE "C" NOT NULL,
    description           text COLLATE "C" NOT NULL,
    email                 text COLLATE "C" NOT NULL,
    company_name          text COLLATE "C" NOT NULL,
    allowed_domains       text COLLATE "C" NOT NULL,
    invite_id             text COLLATE "C" NOT NULL,
    CONSTRAINT teams_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX teams_invite ON teams (invite_id);

CREATE TABLE team_members (
    team_id      uuid    NOT NULL,
    user_id      uuid    NOT NULL,
    create_at    bigint  NOT NULL,
    delete_at    bigint  NOT NULL,
    scheme_admin boolean NOT NULL,
    explicit     text COLLATE "C" NOT NULL,
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_user ON team_members (user_id);

-- Every post counts in its channel's row: room on the page keeps those updates there.
CREATE TABLE channels (
    id                   uuid   PRIMARY KEY,
    team_id              uuid   NOT NULL,
    creator_id           uuid   NOT NULL,
    create_at            bigint NOT NULL,
    update_at            bigint NOT NULL,
    delete_at            bigint NOT NULL,
    last_post_at         bigint NOT NULL,
    last_root_post_at    bigint NOT NULL,
    total_msg_count      bigint NOT NULL,
    total_msg_count_root bigint NOT NULL,
    type                 text COLLATE "C" NOT NULL,
    name                 text COLLATE "C" NOT NULL,
    display_name         text COLLATE "C" NOT NULL,
    header               text COLLATE "C" NOT NULL,
    purpose              text COLLATE "C" NOT NULL,
    CONSTRAINT channels_name UNIQUE (team_id, name) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 60);

CREATE TABLE channel_members (
    channel_id         uuid    NOT NULL,
    user_id            uuid    NOT NULL,
    team_id            uuid    NOT NULL,
    last_viewed_at     bigint  NOT NULL,
    msg_count          bigint  NOT NULL,
    msg_count_root     bigint  NOT NULL,
    mention_count      bigint  NOT NULL,
    mention_count_root bigint  NOT NULL,
    last_update_at     bigint  NOT NULL,
    scheme_admin       boolean NOT NULL,
    explicit           text COLLATE "C" NOT NULL,
    notify_props       bytea,
    PRIMARY KEY (channel_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX channel_members_user ON channel_members (user_id, team_id);

-- A row with an original_id is an earlier text of that post, and has a delete_at.
CREATE TABLE posts (
    id            uuid    PRIMARY KEY,
    user_id       uuid    NOT NULL,
    channel_id    uuid    NOT NULL,
    root_id       uuid    NOT NULL,
    original_id   uuid    NOT NULL,
    create_at     bigint  NOT NULL,
    update_at     bigint  NOT NULL,
    edit_at       bigint  NOT NULL,
    delete_at     bigint  NOT NULL,
    last_reply_at bigint  NOT NULL,
    reply_count   bigint  NOT NULL,
    is_pinned     boolean NOT NULL,
    has_reactions boolean NOT NULL,
    type          text COLLATE "C" NOT NULL,
    message       text COLLATE "C" NOT NULL,
    hashtags      text COLLATE "C" NOT NULL,
    props         bytea,
    participants  bytea,
    file_ids      bytea
);
-- Pages of a channel: within one channel create_at alone orders, so the id would only cost.
CREATE INDEX posts_page ON posts (channel_id, create_at) WHERE delete_at = 0;
-- What changed since a time is what was created then, which is in the index above, or else was
-- changed: few posts ever are. Ask for both: create_at > t AND delete_at = 0 OR update_at > t AND
-- update_at <> create_at.
CREATE INDEX posts_since ON posts (channel_id, update_at) WHERE update_at <> create_at;
CREATE INDEX posts_thread ON posts (root_id, create_at) WHERE root_id <> '00000000-0000-0000-0000-000000000000';
CREATE INDEX posts_pinned ON posts (channel_id) WHERE is_pinned;
CREATE INDEX posts_history ON posts (original_id) WHERE original_id <> '00000000-0000-0000-0000-000000000000';

CREATE TABLE preferences (
    user_id  uuid NOT NULL,
    category text COLLATE "C" NOT NULL,
    name     text COLLATE "C" NOT NULL,
    value    text COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, category, name)
);

CREATE TABLE counters (
    value bigint NOT NULL,
    name  text COLLATE "C" PRIMARY KEY
) WITH (fillfactor = 50);

CREATE TABLE reactions (
    post_id    uuid   NOT NULL,
    user_id    uuid   NOT NULL,
    channel_id uuid   NOT NULL,
    create_at  bigint NOT NULL,
    update_at  bigint NOT NULL,
    emoji_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (post_id, user_id, emoji_name)
);

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
    delete_at   bigint NOT NULL,
    parts       bytea
);
CREATE INDEX uploads_user ON uploads (user_id);
CREATE INDEX uploads_age ON uploads (create_at, id) WHERE delete_at = 0;

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

-- Work that later entries finish.
CREATE TABLE tasks (
    id        uuid   PRIMARY KEY,
    kind      bigint NOT NULL,
    create_at bigint NOT NULL,
    steps     bigint NOT NULL,
    team_id   uuid   NOT NULL,
    user_id   uuid   NOT NULL,
    post_id   uuid   NOT NULL,
    upload_id uuid   NOT NULL
);
