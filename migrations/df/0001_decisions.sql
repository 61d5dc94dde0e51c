-- What the decision fabric needs to go on, and to find decisions by. The decisions themselves stand on the traffic topic.

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

-- One row per decision: where it stands, and what it is looked for by.
create table decisions (
  decision_id text primary key,
  run_id text not null,
  event_id text collate "C" not null,
  ts_utc timestamptz not null,
  entity_key text collate "C" not null,
  outcome text not null check (outcome in ('APPROVE', 'STEP_UP', 'QUEUE', 'DECLINE')),
  reason_codes jsonb not null,
  score_e6 integer,
  mode text not null,
  partition integer not null,
  record_offset bigint not null,
  source_partition integer not null,
  source_offset bigint not null,
  -- When this was written, by the clock of the wall; the order of the list.
  decided_at timestamptz not null,
  number bigint generated always as identity unique
);
create index decisions_of_entity on decisions (entity_key, number);
create index decisions_of_run on decisions using brin (run_id) with (pages_per_range = 32, autosummarize = on);
select probity.make_append_only('df.decisions');

-- Decisions that the gate quarantined: nothing follows from them, and somebody has to look.
create table incidents (
  decision_id text not null,
  event_id text not null,
  run_id text not null,
  reason_codes jsonb not null,
  receipt_id text not null,
  seen_at timestamptz not null
);
select probity.make_append_only('df.incidents');

-- Records that nobody can read; they were passed by.
create table invalid (
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  reason text not null,
  detail text not null,
  primary key (topic, partition, record_offset)
);

-- What the synchronous API answered when its deadline ended before the decision came.
create table timeouts (
  decision_id text not null,
  outcome text not null,
  deadline_ms integer not null,
  answered_at timestamptz not null
);
create index timeouts_of_decision on timeouts (decision_id);
select probity.make_append_only('df.timeouts');
