-- The ledger of admission. What a whole batch shares stands once in `intakes`, runs and kinds are numbered, digests are
-- bytes: the row of an event stays small, since there are thousands of them in a second.

-- The five pins of a run (law R1). Rows are joined to a run by this number, which stands for all five.
create table runs (
  run integer generated always as identity primary key,
  run_id text not null,
  manifest_fingerprint text not null,
  parameter_hash text not null,
  seed text not null,
  scenario_id text not null,
  unique (run_id, manifest_fingerprint, parameter_hash, seed, scenario_id)
);
select probity.make_append_only('runs');

create table kinds (
  kind integer generated always as identity primary key,
  event_type text not null,
  schema_version text not null,
  producer text not null,
  unique (event_type, schema_version, producer)
);
select probity.make_append_only('kinds');

-- Numbers of intakes are handed out in blocks of a thousand, so that no batch asks for its own.
create sequence intake_blocks;

-- One per batch and caller: who sent, under which policy, when it was decided, and by what (laws C1, O1).
create table intakes (
  intake bigint primary key,
  principal text not null,
  policy_id text not null,
  policy_revision bigint not null,
  policy_digest bytea not null,
  partitioning_profile text not null,
  topic text not null,
  decided_at timestamptz not null,
  -- The quarantined event that this caller's events supersede.
  supersedes bytea,
  component_version text not null,
  env text not null
);
select probity.make_append_only('intakes');

-- One row per identity, for ever. Its id is derived from the pins and the event id, and is the id of its receipt: the
-- primary key is at once what decides between two gates and what receipts are found by.
create table admissions (
  receipt_id bytea primary key,
  content_digest bytea not null,
  payload_hash bytea not null,
  record_offset bigint not null check (record_offset >= 0),
  intake bigint not null,
  ts_utc timestamptz not null,
  run integer not null,
  kind integer not null,
  partition integer not null check (partition >= 0),
  event_id text collate "C" not null,
  partition_key text collate "C" not null
);
-- Events of a run come together, so a block index finds a run's part of the table at almost no cost per insert.
create index admissions_of_run on admissions using brin (run) with (pages_per_range = 32, autosummarize = on);
select probity.make_append_only('admissions');

-- Submissions that were answered DUPLICATE: all else follows from the admission, whose content was the same.
create table duplicates (
  receipt_id bytea primary key,
  admission_id bytea not null,
  intake bigint not null,
  run integer not null,
  position integer not null
);
create index duplicates_of_run on duplicates using brin (run) with (pages_per_range = 32, autosummarize = on);
select probity.make_append_only('duplicates');

-- Submissions that were refused, one row per attempt; what is large stands in the evidence object. The facts of the event
-- are there as far as they were well-formed.
create table quarantines (
  quarantine_id bytea primary key,
  entry_no bigint generated always as identity unique,
  intake bigint not null,
  stage text not null,
  reason text not null,
  retryable boolean not null,
  detail text not null,
  raw_digest bytea not null,
  evidence_locator text not null,
  evidence_digest bytea not null,
  evidence_bytes bigint not null,
  -- The line of this event in the evidence object, in bytes.
  line_start bigint not null,
  line_end bigint not null,
  producer text,
  event_id text,
  event_type text,
  schema_version text,
  ts_utc timestamptz,
  payload_hash bytea,
  -- All five, where all five were well-formed. As they came: they need not be those of any run.
  pins json,
  run_id text
);
create index quarantines_of_run on quarantines (run_id, entry_no) where run_id is not null;
select probity.make_append_only('quarantines');

-- What superseded a quarantined event: the receipt of the admission that a release or a correction ended in.
create table supersessions (
  quarantine_id bytea not null,
  receipt_id bytea not null,
  intake bigint not null,
  primary key (quarantine_id, receipt_id)
);
select probity.make_append_only('supersessions');

-- Who read raw evidence, and what for. The row stands before the bytes are handed out.
create table evidence_reads (
  read_no bigint generated always as identity primary key,
  quarantine_id bytea not null,
  reader text not null,
  key_id text not null,
  purpose text not null,
  read_at timestamptz not null
);
select probity.make_append_only('evidence_reads');

-- Working state, not truth: identities that are on their way onto a bus that does not commit together with this database.
-- A row says all that an admission says but its offset, so that whoever finds it can finish what its gate began.
create table reservations (
  receipt_id bytea primary key,
  -- Which gate: the number of the session lock that it holds and of the producer that it writes through.
  slot integer not null,
  content_digest bytea not null,
  payload_hash bytea not null,
  intake bigint not null,
  ts_utc timestamptz not null,
  run integer not null,
  kind integer not null,
  partition integer not null,
  event_id text collate "C" not null,
  partition_key text collate "C" not null,
  -- The record, if it is there at all, stands at this offset or above.
  high_water bigint not null,
  supersedes bytea,
  reserved_at timestamptz not null
) with (fillfactor = 50);
create index reservations_of_slot on reservations (slot);

-- Session locks that tell which slots are held. One name space for the whole database, hence a sentence.
create function slot_key(slot integer) returns bigint
  language sql immutable
  return hashtextextended('probity gate slot ' || slot, 0);
