-- Generations of the state: the one that is served, and those that were made of the log again beside it. Which one is served is said by one row, so that it
-- changes at once or not at all. Nothing here is truth.
alter table owner add column generation integer not null default 1;

alter table positions add column generation integer not null default 1;
alter table positions drop constraint positions_pkey;
alter table positions add primary key (generation, topic, partition);

alter table runs add column generation integer not null default 1;
alter table runs drop constraint runs_pins_digest_key;
alter table runs add unique (generation, pins_digest);

alter table invalid add column generation integer not null default 1;
alter table invalid drop constraint invalid_pkey;
alter table invalid add primary key (generation, topic, partition, record_offset);

-- One for each operation that asked for one, also after what it holds was let go.
create table generations (
  generation integer generated always as identity (start with 2) primary key,
  op_id text not null unique,
  -- Where the log is read, from which offset to which: an object that never changes.
  plan jsonb not null,
  policy_rev jsonb not null,
  state text not null
    check (state in ('BUILDING', 'BUILT', 'EQUAL', 'DIFFERENT', 'FAILED', 'LIVE', 'DISCARDED')),
  -- What was read and kept so far, moved with the positions.
  counted jsonb not null,
  compared jsonb,
  fault jsonb
);
