-- Mentions of everybody in a channel: how many there were, and how many of them a member has seen. So a mention of
-- everybody writes one row, however many members the channel has.
ALTER TABLE channels ADD COLUMN total_calls bigint NOT NULL DEFAULT 0, ADD COLUMN total_calls_root bigint NOT NULL DEFAULT 0;
ALTER TABLE channel_members ADD COLUMN call_count bigint NOT NULL DEFAULT 0, ADD COLUMN call_count_root bigint NOT NULL DEFAULT 0;
