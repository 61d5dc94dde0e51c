-- How far each run's traffic has been pushed through the gate. Operational state, not truth: what was admitted, the gate's ledger
-- knows. A row that is lost costs time and nothing else, since events that come again are recognised as duplicates.

create table streams (
  run_id text primary key,
  pins jsonb not null,
  pass integer not null check (pass >= 1),
  state text not null check (
    state in ('IDLE', 'VERIFYING', 'STREAMING', 'PAUSED', 'THROTTLED', 'DRAINING', 'COMPLETED', 'FAILED')),
  -- Whether somebody ought to be streaming it: whoever starts and finds it without a holder takes it up.
  wanted boolean not null,
  reason jsonb,
  pace jsonb not null,
  rows_total bigint not null check (rows_total >= 0),
  admitted bigint not null default 0,
  duplicate bigint not null default 0,
  quarantined bigint not null default 0,
  in_flight bigint not null default 0,
  -- Per output the first row that has no terminal receipt.
  next_rows jsonb not null default '{}',
  last_place jsonb,
  sim_now_utc text,
  quarantined_examples jsonb not null default '[]',
  -- Counts from which on the share of quarantined rows is looked at: those at the last time that somebody asked for the stream.
  judged_sent bigint not null default 0,
  judged_quarantined bigint not null default 0,
  started_at timestamptz not null,
  changed_at timestamptz not null,
  -- The lease. Its time is this server's, so that the clocks of two machines need not agree; the fence rises with each holder, and what
  -- an earlier one still writes matches no row.
  holder text,
  fence bigint not null default 0,
  lease_until timestamptz,
  check (admitted + duplicate + quarantined <= rows_total)
) with (fillfactor = 50);
create index streams_wanted on streams (run_id) where wanted;

-- One fact per pass that came to its end.
create table passes (
  run_id text not null,
  pass integer not null,
  pins jsonb not null,
  rows_total bigint not null,
  admitted bigint not null,
  duplicate bigint not null,
  quarantined bigint not null,
  last_place jsonb,
  policy_rev jsonb not null,
  component_version text not null,
  env text not null,
  started_at timestamptz not null,
  completed_at timestamptz not null,
  primary key (run_id, pass),
  check (admitted + duplicate + quarantined = rows_total)
);
select probity.make_append_only('wsp.passes');

-- Who asked for a run before it was ready: READY then starts it.
create table wishes (
  run_id text primary key,
  pace jsonb not null,
  asked_at timestamptz not null
);

-- READY messages that were looked at, each once.
create table ready_messages (
  message_id text primary key,
  run_id text not null,
  outcome text not null check (outcome in ('STARTED', 'NOT_ASKED_FOR', 'NUDGED', 'NOTHING_TO_STREAM', 'REFUSED')),
  detail text,
  seen_at timestamptz not null
);
select probity.make_append_only('wsp.ready_messages');

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);
