-- How far each source has been read, and what became of its records: written in one transaction per batch (law R5), so that every
-- record is in exactly one count, once, however often it was delivered.
create table positions (
  consumer_group text not null,
  topic text not null,
  partition integer not null check (partition >= 0),
  next_offset bigint not null check (next_offset >= 0),
  admitted bigint not null default 0,
  duplicate bigint not null default 0,
  quarantined bigint not null default 0,
  unreadable bigint not null default 0,
  primary key (consumer_group, topic, partition)
) with (fillfactor = 50);

-- Records that could not be made into a transaction. The record itself stands on its topic as long as its owner keeps it; here is
-- which one it was and why it was passed over.
create table unreadable_records (
  seq bigint generated always as identity unique,
  consumer_group text not null,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  producer text not null,
  code text not null,
  place text not null,
  detail text not null,
  raw_digest text not null check (raw_digest ~ '^[0-9a-f]{64}$'),
  raw_bytes integer not null,
  found_at_utc text not null,
  primary key (consumer_group, topic, partition, record_offset)
);
create index unreadable_records_youngest on unreadable_records (consumer_group, seq desc);
select probity.make_append_only('unreadable_records');
