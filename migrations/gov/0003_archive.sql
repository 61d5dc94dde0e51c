-- What the archive holds. Chunks are objects that never change; their rows here are the index, and the last one of a partition is how far
-- the archive has got.

-- Where a chunk begins and ends, decided before it is written: whoever takes over after a crash writes the very same bytes.
create table archive_cuts (
  topic text not null,
  partition integer not null,
  first_offset bigint not null,
  next_offset bigint not null check (next_offset > first_offset),
  cut_at timestamptz not null,
  primary key (topic, partition, first_offset)
);
select probity.make_append_only('gov.archive_cuts');

create table archive_chunks (
  topic text not null,
  partition integer not null,
  first_offset bigint not null,
  next_offset bigint not null check (next_offset > first_offset),
  records integer not null check (records >= 0),
  -- Before compression.
  bytes bigint not null,
  content_digest text not null,
  -- Names this chunk and all before it in its partition.
  chain text not null,
  ref jsonb not null,
  archived_at timestamptz not null,
  primary key (topic, partition, first_offset)
);
select probity.make_append_only('gov.archive_chunks');

-- What the bus had trimmed before it was archived: the archive goes on behind it, and no window over it is ever complete.
create table archive_gaps (
  topic text not null,
  partition integer not null,
  first_offset bigint not null,
  next_offset bigint not null check (next_offset > first_offset),
  found_at timestamptz not null,
  primary key (topic, partition, first_offset)
);
select probity.make_append_only('gov.archive_gaps');

-- Who does a piece of work at the moment. The token rises with every holder.
create table leases (
  name text primary key,
  token bigint not null,
  holder text not null,
  expires_at timestamptz not null
) with (fillfactor = 50);
