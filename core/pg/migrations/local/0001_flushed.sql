-- How far this node's state is known to survive a power cut.
CREATE TABLE flushed (
    one   boolean PRIMARY KEY CHECK (one),
    epoch bigint NOT NULL,
    index bigint NOT NULL
);
INSERT INTO flushed (one, epoch, index) VALUES (true, 0, 0);
