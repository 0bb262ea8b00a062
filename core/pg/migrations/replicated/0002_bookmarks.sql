CREATE TABLE bookmarks (
    id uuid PRIMARY KEY, channel_id uuid NOT NULL, owner_id uuid NOT NULL, file_id uuid NOT NULL,
    create_at bigint NOT NULL, update_at bigint NOT NULL, delete_at bigint NOT NULL, sort_order bigint NOT NULL,
    display_name text COLLATE "C" NOT NULL, link_url text COLLATE "C" NOT NULL, image_url text COLLATE "C" NOT NULL,
    emoji text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL
);
CREATE INDEX bookmarks_channel ON bookmarks (channel_id, sort_order);
