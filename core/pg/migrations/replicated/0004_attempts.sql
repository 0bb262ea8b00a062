CREATE TABLE attempts (
    id uuid PRIMARY KEY, subject_id uuid NOT NULL, source_id uuid NOT NULL, user_id uuid NOT NULL,
    device_id uuid NOT NULL, address_id uuid NOT NULL,
    kind bigint NOT NULL, create_at bigint NOT NULL, uses bigint NOT NULL, right_at bigint NOT NULL
);
CREATE INDEX attempts_share ON attempts (subject_id, source_id, create_at);
CREATE INDEX attempts_age ON attempts (kind, create_at);

CREATE TABLE known_sources (
    user_id uuid NOT NULL, source_id uuid NOT NULL, kind bigint NOT NULL, last_at bigint NOT NULL,
    PRIMARY KEY (user_id, source_id)
);
