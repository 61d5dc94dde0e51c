-- The one executor's books: what was asked for, what was done, what was told about it. An intent, its effect and its outcome are
-- one commit where the effect is a row of this database.

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

-- One row per effect that was ever asked for; the first wish stands (law R6).
create table intents (
  semantic_key text primary key,
  idempotency_key text not null,
  intent_fingerprint text not null,
  run_id text not null,
  decision_id text not null,
  action_domain text not null,
  action_type text not null,
  target_type text not null,
  target_id text collate "C" not null,
  number bigint generated always as identity unique,
  taken_at timestamptz not null
);
create index intents_of_decision on intents (decision_id);
select probity.make_append_only('actions.intents');

-- Other content under a key that is taken: the first stands, this is kept as evidence, and nothing follows from it.
create table conflicts (
  semantic_key text not null,
  intent_fingerprint text not null,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  seen_at timestamptz not null,
  primary key (topic, partition, record_offset)
);
select probity.make_append_only('actions.conflicts');

-- Intents that nobody could carry out, by what is wrong with them.
create table refused (
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  reason text not null,
  detail text not null,
  primary key (topic, partition, record_offset)
);
select probity.make_append_only('actions.refused');

-- What became of each, once; the very event that is published.
create table outcomes (
  semantic_key text primary key,
  outcome_id text not null unique,
  status text not null check (status in ('EXECUTED', 'DENIED', 'FAILED')),
  reason_codes jsonb not null,
  matched_rule_id text,
  event text not null,
  completed_at timestamptz not null
);
select probity.make_append_only('actions.outcomes');

-- Outcomes that the gate has not answered yet. Working state: a row goes with its receipt, or stays with the reason for which it was
-- quarantined.
create table outbox (
  number bigint generated always as identity primary key,
  semantic_key text not null unique,
  quarantined jsonb
);

-- What a payment system reads: the disposition of each payment.
create table dispositions (
  semantic_key text primary key,
  run_id text not null,
  target_type text not null,
  target_id text collate "C" not null,
  decision_id text not null,
  outcome text not null,
  reason_codes jsonb not null,
  recorded_at timestamptz not null
);
create index dispositions_of_target on dispositions (target_id, run_id);
select probity.make_append_only('actions.dispositions');

-- What waits for an analyst; the workbench takes it from here.
create table case_queue (
  semantic_key text primary key,
  run_id text not null,
  target_type text not null,
  target_id text collate "C" not null,
  decision_id text not null,
  outcome text not null,
  reason_codes jsonb not null,
  number bigint generated always as identity unique,
  queued_at timestamptz not null
);
select probity.make_append_only('actions.case_queue');

-- What somebody is told: a fact that whoever has an eye on the platform reads, and that nobody needs to act on.
create table notifications (
  semantic_key text primary key,
  run_id text not null,
  target_type text not null,
  target_id text collate "C" not null,
  decision_id text not null,
  outcome text not null,
  reason_codes jsonb not null,
  number bigint generated always as identity unique,
  notified_at timestamptz not null
);
select probity.make_append_only('actions.notifications');

-- Effects outside this database that are begun and not ended. Working state: a row goes with its outcome, in one commit. Who holds the
-- permit of a row that is in flight may say how it went, until the lease is over.
create table work (
  semantic_key text primary key,
  target text not null,
  action_type text not null,
  taken text not null,
  matched_rule_id text,
  policy_rev jsonb not null,
  state text not null default 'ACTIVE' check (state in ('ACTIVE', 'IN_FLIGHT')),
  attempt_no integer not null default 0,
  ambiguous boolean not null default false,
  taken_at timestamptz not null,
  started_at timestamptz,
  due_at timestamptz not null,
  give_up_at timestamptz not null,
  permit uuid,
  lease_until timestamptz,
  check ((state = 'IN_FLIGHT') = (permit is not null)),
  check ((state = 'IN_FLIGHT') = (lease_until is not null))
);
create index work_due on work (target, due_at);

-- The journal: STARTED before anything leaves, and how it ended. An attempt ends once.
create table attempts (
  semantic_key text not null,
  attempt_no integer not null,
  step text not null check (step in ('STARTED', 'COMMITTED', 'NOT_COMMITTED', 'UNKNOWN')),
  ended boolean not null generated always as (step <> 'STARTED') stored,
  permit uuid not null,
  reason text,
  http_status integer,
  at timestamptz not null,
  primary key (semantic_key, attempt_no, ended)
);
select probity.make_append_only('actions.attempts');
