CREATE TABLE samples (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    image BLOB NOT NULL CHECK (typeof(image) = 'blob' AND length(image) = {bytes}),
    at TEXT NOT NULL,
    source TEXT NOT NULL,
    artifact TEXT NOT NULL,
    release TEXT,
    answer TEXT,
    confidence REAL NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    reason TEXT NOT NULL CHECK (reason IN {reasons})
);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sample INTEGER NOT NULL REFERENCES samples ON DELETE CASCADE,
    label TEXT,
    writer TEXT NOT NULL,
    at TEXT NOT NULL,
    settles INTEGER NOT NULL CHECK (settles IN (0, 1))
);
CREATE INDEX labels_of_sample ON labels (sample);
CREATE TABLE counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
{archive};
PRAGMA application_id = {application};
PRAGMA user_version = {version};
