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

-- What was declared to be done, once per op_id (law R6).
create table jobs (
  number bigint generated always as identity primary key,
  op_id text not null unique,
  kind text not null,
  intent_digest text not null,
  scope jsonb not null,
  purpose text not null,
  actor jsonb not null,
  at timestamptz not null
);
select probity.make_append_only('gov.jobs');

-- Where each job got to, for ever: the last row is where it stands.
create table job_states (
  op_id text not null references jobs (op_id),
  seq integer not null,
  state text not null
    check (state in ('DECLARED', 'APPROVED', 'RUNNING', 'VERIFYING', 'COMPLETED', 'FAILED', 'ABORTED')),
  detail jsonb not null,
  actor jsonb not null,
  -- The lease that it was written under; null for what people ask for.
  token bigint,
  at timestamptz not null,
  primary key (op_id, seq)
);
select probity.make_append_only('gov.job_states');
