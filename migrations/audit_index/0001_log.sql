-- The audit log on its way into the object store, and what its leaves are found by. The log itself stands in objects: all of this can be
-- dropped, and is then made again from them.

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

-- How many leaves have their place (in the transaction in which the position moved), how many of them are under a signed checkpoint, and the
-- right edge of the tree of these.
create table log (
  one boolean primary key default true check (one),
  next_leaf bigint not null,
  published bigint not null check (published <= next_leaf),
  edge bytea[] not null
);
insert into log (next_leaf, published, edge) values (0, 0, '{}');

-- Leaves in their places whose bundle is not full yet, or not written: each row the leaves of one batch, one behind the other as in a bundle.
create table pending (
  first_leaf bigint primary key,
  leaves integer not null check (leaves > 0),
  bytes bytea not null
);

-- Derived: where the record of something stands.
create table leaves (
  leaf bigint primary key,
  kind text not null,
  run_id text,
  event_id text collate "C",
  decision_id text collate "C",
  entity_key text collate "C",
  ts_utc timestamptz,
  partition integer not null,
  record_offset bigint not null
);
create index leaves_of_decision on leaves (decision_id) where decision_id is not null;
create index leaves_of_entity on leaves (entity_key, leaf) where entity_key is not null;
create index leaves_of_run on leaves using brin (run_id) with (pages_per_range = 32, autosummarize = on);
