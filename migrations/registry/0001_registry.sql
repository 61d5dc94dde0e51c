-- What happened to every version of every bundle. These facts are the truth: which bundle is active somewhere, now or as of any of their numbers,
-- follows from them alone.

create table facts (
  seq bigint primary key,
  event_id text not null unique,
  action text not null,
  bundle_id text not null,
  bundle_version integer not null,
  -- Digest of what was asked for: the same key with another one is a conflict.
  content text not null,
  recorded_at timestamptz not null,
  fact jsonb not null
);
create index facts_of_bundle on facts (bundle_id, bundle_version, seq);
create unique index one_publication on facts (bundle_id, bundle_version) where action = 'BUNDLE_PUBLISHED';
create index facts_by_time on facts (recorded_at, seq);
select probity.make_append_only('registry.facts');

-- Where a fact made a bundle active (or, without one, left nothing active).
create table activations (
  slot text not null,
  seq bigint not null references facts (seq),
  bundle_id text,
  bundle_version integer,
  digest text,
  -- Where its bytes are.
  ref jsonb,
  primary key (slot, seq)
);
select probity.make_append_only('registry.activations');

-- What was asked for and refused, by whom. It changed nothing.
create table refusals (
  number bigint generated always as identity primary key,
  refused_at timestamptz not null,
  actor_id text not null,
  action text not null,
  code text not null,
  detail text not null,
  request jsonb not null
);
select probity.make_append_only('registry.refusals');

-- The last number, and the time up to which answers are settled: what comes is recorded later. Locked by whoever appends.
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
