-- Entries that were skipped by order of an operator.
CREATE TABLE voids (
    index    bigint PRIMARY KEY,
    by_index bigint NOT NULL,
    at       bigint NOT NULL,
    reason   text COLLATE "C" NOT NULL
);
