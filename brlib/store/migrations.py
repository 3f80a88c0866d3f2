"""The tables of the database and how each version of them becomes the next. Run by `base`."""

from __future__ import annotations

# Sums of recordings, kept by triggers, so that nobody has to add up the table and no writer
# can forget them. `used_bytes` is what a recording that is over takes: what a running one
# takes changes every few seconds and is asked for.
_COUNT_IN = """
    INSERT INTO recording_totals VALUES (
        new.channel_id, new.platform, new.status, 1, new.used_bytes)
    ON CONFLICT (channel_id, platform, status)
    DO UPDATE SET n = n + 1, used_bytes = used_bytes + excluded.used_bytes;
    INSERT INTO recording_days VALUES (
        substr(new.started_at, 1, 10), new.platform, new.status, 1)
    ON CONFLICT (day, platform, status) DO UPDATE SET n = n + 1;
"""
_SUM = "channel_id = old.channel_id AND platform = old.platform AND status = old.status"
_DAY = ("day = substr(old.started_at, 1, 10) AND platform = old.platform "
        "AND status = old.status")
_COUNT_OUT = f"""
    UPDATE recording_totals SET n = n - 1, used_bytes = used_bytes - old.used_bytes WHERE {_SUM};
    DELETE FROM recording_totals WHERE {_SUM} AND n = 0;
    UPDATE recording_days SET n = n - 1 WHERE {_DAY};
    DELETE FROM recording_days WHERE {_DAY} AND n = 0;
"""

# Append only: a database remembers how many of these it has seen (user_version).
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE channels (
            id TEXT PRIMARY KEY,
            platform TEXT NOT NULL,
            name TEXT NOT NULL,
            display_name TEXT NOT NULL,
            url TEXT NOT NULL,
            quality TEXT NOT NULL,
            enabled INTEGER NOT NULL,
            paused INTEGER NOT NULL,
            priority INTEGER NOT NULL,
            filename_template TEXT,
            output_directory TEXT,
            broadcast_id TEXT,
            live_since TEXT,
            stopped_broadcast_id TEXT,
            ended_edge TEXT,
            last_checked_at TEXT,
            last_error TEXT,
            created_at TEXT NOT NULL
        )
        """,
        "CREATE UNIQUE INDEX channels_name ON channels (platform, lower(name))",
        """
        CREATE TABLE recordings (
            id TEXT PRIMARY KEY,
            channel_id TEXT NOT NULL,
            channel_name TEXT NOT NULL,
            platform TEXT NOT NULL,
            title TEXT NOT NULL,
            category TEXT,
            quality TEXT NOT NULL,
            broadcast_id TEXT,
            status TEXT NOT NULL,
            started_at TEXT NOT NULL,
            ended_at TEXT,
            end_reason TEXT,
            segments INTEGER NOT NULL,
            captured_bytes INTEGER NOT NULL,
            captured_s REAL NOT NULL,
            gaps INTEGER NOT NULL,
            gap_s REAL NOT NULL,
            parts INTEGER NOT NULL,
            files TEXT NOT NULL,
            file_size_bytes INTEGER NOT NULL,
            error TEXT,
            filename_template TEXT,
            output_directory TEXT
        )
        """,
        "CREATE INDEX recordings_newest ON recordings (started_at DESC, id DESC)",
        "CREATE INDEX recordings_channel ON recordings (channel_id, started_at DESC, id DESC)",
        "CREATE INDEX recordings_platform ON recordings (platform, started_at DESC, id DESC)",
        "CREATE INDEX recordings_status ON recordings (status, started_at DESC, id DESC)",
        """
        CREATE TABLE gaps (
            recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
            started_at TEXT NOT NULL,
            offset_s REAL NOT NULL,
            duration_s REAL NOT NULL,
            segments INTEGER NOT NULL,
            cause TEXT NOT NULL
        )
        """,
        "CREATE INDEX gaps_recording ON gaps (recording_id, offset_s)",
        """
        CREATE TABLE api_keys (
            id INTEGER PRIMARY KEY,
            label TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            permission TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_used_at TEXT
        )
        """,
    ),
    (
        """
        CREATE TABLE users (
            id TEXT PRIMARY KEY,
            username TEXT NOT NULL,
            password TEXT NOT NULL,
            role TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_login_at TEXT
        )
        """,
        "CREATE UNIQUE INDEX users_name ON users (lower(username))",
        """
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            created_at TEXT NOT NULL,
            expires_at TEXT NOT NULL
        )
        """,
        "CREATE INDEX sessions_user ON sessions (user_id, created_at)",
        "CREATE INDEX sessions_end ON sessions (expires_at)",
    ),
    (
        "ALTER TABLE recordings ADD COLUMN has_capture INTEGER NOT NULL DEFAULT 0",
        "UPDATE recordings SET has_capture = 1 WHERE status <> 'complete'",
        """
        ALTER TABLE recordings ADD COLUMN used_bytes INTEGER GENERATED ALWAYS AS (
            CASE WHEN status IN ('recording', 'paused') THEN 0
            ELSE file_size_bytes + CASE WHEN has_capture THEN captured_bytes ELSE 0 END END
        ) VIRTUAL
        """,
        "CREATE INDEX recordings_captured ON recordings (id) WHERE has_capture",
        # Wide enough to answer every combination of filters without reading the rows.
        "DROP INDEX recordings_channel",
        "DROP INDEX recordings_platform",
        "DROP INDEX recordings_status",
        """
        CREATE INDEX recordings_channel
        ON recordings (channel_id, started_at DESC, id DESC, platform, status)
        """,
        """
        CREATE INDEX recordings_platform
        ON recordings (platform, started_at DESC, id DESC, status)
        """,
        """
        CREATE INDEX recordings_status
        ON recordings (status, started_at DESC, id DESC, platform)
        """,
        """
        CREATE TABLE recording_totals (
            channel_id TEXT NOT NULL,
            platform TEXT NOT NULL,
            status TEXT NOT NULL,
            n INTEGER NOT NULL,
            used_bytes INTEGER NOT NULL,
            PRIMARY KEY (channel_id, platform, status)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE recording_days (
            day TEXT NOT NULL,
            platform TEXT NOT NULL,
            status TEXT NOT NULL,
            n INTEGER NOT NULL,
            PRIMARY KEY (day, platform, status)
        ) WITHOUT ROWID
        """,
        """
        INSERT INTO recording_totals
        SELECT channel_id, platform, status, count(*), sum(used_bytes)
        FROM recordings GROUP BY channel_id, platform, status
        """,
        """
        INSERT INTO recording_days
        SELECT substr(started_at, 1, 10), platform, status, count(*)
        FROM recordings GROUP BY 1, platform, status
        """,
        f"CREATE TRIGGER recording_added AFTER INSERT ON recordings BEGIN {_COUNT_IN} END",
        f"CREATE TRIGGER recording_deleted AFTER DELETE ON recordings BEGIN {_COUNT_OUT} END",
        f"""
        CREATE TRIGGER recording_changed AFTER UPDATE OF
            channel_id, platform, status, started_at, has_capture, captured_bytes,
            file_size_bytes
        ON recordings WHEN
            (old.channel_id, old.platform, old.status, old.started_at, old.used_bytes) <>
            (new.channel_id, new.platform, new.status, new.started_at, new.used_bytes)
        BEGIN {_COUNT_OUT} {_COUNT_IN} END
        """,
        # A file belongs to the recording that had its name last.
        """
        CREATE TABLE recording_files (
            path TEXT PRIMARY KEY,
            recording_id TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        """
        INSERT OR REPLACE INTO recording_files
        SELECT file.value, recordings.id FROM recordings, json_each(recordings.files) AS file
        ORDER BY started_at, recordings.id
        """,
        """
        UPDATE recordings SET files = (
            SELECT json_group_array(file.value) FROM json_each(recordings.files) AS file
            JOIN recording_files AS owner ON owner.path = file.value
            WHERE owner.recording_id = recordings.id
        ) WHERE EXISTS (
            SELECT 1 FROM json_each(recordings.files) AS file
            JOIN recording_files AS owner ON owner.path = file.value
            WHERE owner.recording_id <> recordings.id
        )
        """,
    ),
    (
        """
        CREATE TABLE credentials (
            platform TEXT NOT NULL,
            kind TEXT NOT NULL,
            id TEXT NOT NULL UNIQUE,
            secret TEXT NOT NULL,
            stored_at TEXT NOT NULL,
            status TEXT NOT NULL,
            refresh_token TEXT,
            older_refresh_token TEXT,
            client_id TEXT,
            username TEXT,
            scopes TEXT NOT NULL,
            expires_at TEXT,
            last_validated TEXT,
            problem TEXT,
            announced INTEGER NOT NULL,
            PRIMARY KEY (platform, kind)
        )
        """,
        """
        CREATE TABLE login_flows (
            id TEXT PRIMARY KEY,
            platform TEXT NOT NULL,
            flow TEXT NOT NULL,
            secret TEXT NOT NULL,
            client_id TEXT NOT NULL,
            started_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            interval_s REAL NOT NULL
        )
        """,
    ),
    (
        """
        CREATE TABLE platform_rests (
            platform TEXT PRIMARY KEY,
            until TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    (
        # A revoked key's number must never be another one's: who revokes twice means the first.
        """
        CREATE TABLE numbered_keys (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            label TEXT NOT NULL,
            digest TEXT NOT NULL UNIQUE,
            permission TEXT NOT NULL,
            created_at TEXT NOT NULL,
            last_used_at TEXT
        )
        """,
        """
        INSERT INTO numbered_keys
        SELECT id, label, digest, permission, created_at, last_used_at FROM api_keys
        """,
        "DROP TABLE api_keys",
        "ALTER TABLE numbered_keys RENAME TO api_keys",
    ),
    (
        """
        CREATE TABLE platform_ids (
            platform TEXT NOT NULL,
            name TEXT NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (platform, name)
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE channels ADD COLUMN schedule TEXT",
        "ALTER TABLE channels ADD COLUMN filters TEXT",
        "ALTER TABLE channels ADD COLUMN skips_told TEXT",
    ),
    (
        "ALTER TABLE channels ADD COLUMN quota_bytes INTEGER",
        "ALTER TABLE recordings ADD COLUMN protected INTEGER NOT NULL DEFAULT 0",
        # Of a channel; of all together under an empty id.
        """
        CREATE TABLE quota_states (
            channel_id TEXT PRIMARY KEY,
            state TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
    ("ALTER TABLE channels ADD COLUMN retention TEXT",),
    (
        """
        CREATE TABLE changes (
            recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
            offset_s REAL NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL
        )
        """,
        "CREATE INDEX changes_recording ON changes (recording_id)",
    ),
    ("ALTER TABLE channels ADD COLUMN processing TEXT",),
)
