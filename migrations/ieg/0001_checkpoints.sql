-- Checkpoints of the identity graph. Nothing here is truth: all of it is rebuilt from the bus where it is missing. What stands
-- here was applied up to the vector in `positions`, and everything up to that vector stands here (law R5).

-- Who writes: a process that starts raises the fence, and whoever has a lower one writes nothing any more.
create table owner (
  one boolean primary key default true check (one),
  fence bigint not null,
  -- Which members of events the segments keep, and of what: another policy begins anew.
  kept_digest text
);
insert into owner (fence) values (0);

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

create table runs (
  run integer generated always as identity primary key,
  pins jsonb not null,
  pins_digest text not null unique
);

-- Events or label facts that were applied between two checkpoints: lines of JSON in gzip members, so that segments are merged by
-- putting their bytes together.
create table segments (
  segment bigint generated always as identity primary key,
  run integer not null references runs (run),
  kind text not null check (kind in ('events', 'labels')),
  rows integer not null check (rows > 0),
  -- Time of the newest event, observed time of the newest label: behind the horizon the segment is let go.
  newest_micros bigint not null,
  bytes bytea not null
);
create index segments_of_run on segments (run, kind, segment);

-- Records that the graph cannot use. They were passed by; the run's integrity says so.
create table invalid (
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  reason text not null,
  detail text not null,
  pins_digest text,
  primary key (topic, partition, record_offset)
);
