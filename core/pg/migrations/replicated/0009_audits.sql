-- The audit trail, and what each account has added to it today.
CREATE TABLE audits (
    number     bigint PRIMARY KEY,
    kind       bigint NOT NULL,
    create_at  bigint NOT NULL,
    user_id    uuid NOT NULL,
    session_id uuid NOT NULL,
    actor      text COLLATE "C" NOT NULL,
    address    text COLLATE "C" NOT NULL,
    action     text COLLATE "C" NOT NULL,
    object     text COLLATE "C" NOT NULL,
    result     text COLLATE "C" NOT NULL,
    times      bigint NOT NULL
);
CREATE INDEX audits_kind ON audits (kind, number);
CREATE INDEX audits_user ON audits (user_id, number);

CREATE TABLE audit_shares (
    user_id uuid NOT NULL,
    kind    bigint NOT NULL,
    day     bigint NOT NULL,
    lines   bigint NOT NULL,
    more    bigint NOT NULL,
    PRIMARY KEY (user_id, kind)
);
