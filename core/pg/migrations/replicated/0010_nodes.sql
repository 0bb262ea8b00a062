-- Who may take part in the deployment.
CREATE TABLE nodes (
    name text COLLATE "C" PRIMARY KEY CHECK (octet_length(name) <= 63),
    region text COLLATE "C" NOT NULL CHECK (octet_length(region) <= 63),
    roles text COLLATE "C" NOT NULL CHECK (octet_length(roles) <= 16),
    key bytea NOT NULL, old_key bytea NOT NULL,
    key_at bigint NOT NULL, old_until bigint NOT NULL, admit_at bigint NOT NULL, revoke_at bigint NOT NULL,
    reason text COLLATE "C" NOT NULL CHECK (octet_length(reason) <= 200)
);
