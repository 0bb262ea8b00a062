CREATE TABLE reactions (
    post_id    uuid   NOT NULL,
    user_id    uuid   NOT NULL,
    channel_id uuid   NOT NULL,
    create_at  bigint NOT NULL,
    update_at  bigint NOT NULL,
    emoji_name text COLLATE "C" NOT NULL,
    PRIMARY KEY (post_id, user_id, emoji_name)
);
