-- The sealed values, at home only: at an edge the table is empty. It is no part of any digest. What a value
-- belongs to is said by the rows that name its seal, and one that no row names is removed by a sweep.

CREATE TABLE sealed (
    at   bigint NOT NULL, -- of the last entry that had it
    seal bytea  PRIMARY KEY,
    value bytea NOT NULL
);

CREATE INDEX users_password_seal ON users (password_seal); -- for the sweep

-- Nothing that answers clients may read it.
REVOKE ALL ON sealed FROM nearside_reader;
