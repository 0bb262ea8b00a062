-- Whose mention counts a post is in, so that deleting it takes them back.
ALTER TABLE posts ADD COLUMN mentioned bytea;
