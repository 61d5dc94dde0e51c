-- The ledger of labels: what was said of events, entities and flows, by whom, when it happened and when it became known. A correction is a
-- new label that names what it takes the place of.

create table labels (
  seq bigint primary key,
  label_id text not null unique,
  -- Digest of what it says: the same handle with another one is a conflict.
  content text not null,
  run_id text not null,
  target_kind text not null check (target_kind in ('EVENT', 'ENTITY', 'FLOW')),
  target_key text collate "C" not null,
  label_type text not null,
  label_value text not null,
  namespace text not null,
  observed_at timestamptz not null,
  label jsonb not null,
  evidence jsonb
);
create index labels_of_target on labels (run_id, target_key, label_type);
select probity.make_append_only('label_store.labels');

-- The last number, and the time up to which answers are settled: what comes is observed later. Locked by whoever appends.
create table head (
  single boolean primary key default true check (single),
  seq bigint not null default 0,
  settled_at timestamptz not null default '1900-01-01T00:00:00Z'
);
insert into head default values;

-- Up to which number the control topic was told. Locked by whoever tells.
create table told (
  single boolean primary key default true check (single),
  seq bigint not null default 0
);
insert into told default values;

-- The outputs of traffic whose rows a label may name by the transaction's own id, and the number of the run's last sealed label.
alter table feeds add column traffic_outputs text[] not null default '{}', add column last_seq bigint;

-- What was published before there was a ledger enters it now.
update feeds set state = 'WAITING', next_row = 0, published = 0, holder = null, lease_until = null
where state in ('PUBLISHING', 'DONE');
