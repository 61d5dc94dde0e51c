-- The runs as they stand. Derived state: what a run is stands in its objects (request, plan, facts view, ready or failed),
-- and a row that is lost is made again of them. It is written by whoever holds the run's lease.
create table runs (
  run_id text primary key,
  run_equivalence_key text not null unique,
  intent_fingerprint text not null,
  kind text not null check (kind in ('import', 'generate', 'live')),
  manifest_fingerprint text not null,
  parameter_hash text not null,
  seed text not null,
  scenario_id text not null,
  -- Canonical JSON of request.json, so that a step need not read the object.
  request text not null,
  requested_at timestamptz not null,
  state text not null
    check (state in ('OPEN', 'PLANNED', 'EXECUTING', 'VERIFYING', 'WAITING_EVIDENCE', 'READY', 'FAILED', 'QUARANTINED')),
  changed_at timestamptz not null,
  reasons text[] not null default '{}',
  detail text,
  attempts integer not null default 0,
  -- When the present attempt began, or the wait for evidence: what the plan's limits are counted from.
  since timestamptz not null,
  plan jsonb,
  engine_timeout_ms bigint,
  -- What the engine said last.
  engine jsonb,
  facts_view jsonb,
  message_id text,
  -- How the run will end, decided once and before anything says so to others: ready.json and failed.json are put after it.
  verdict text check (verdict in ('READY', 'FAILED', 'QUARANTINED')),
  -- Nothing is left to be done: the record is kept and, of a run that is ready, the signal is out.
  settled boolean not null default false,
  check (state not in ('READY', 'FAILED', 'QUARANTINED') or verdict = state),
  check (verdict is distinct from 'READY' or (facts_view is not null and message_id is not null))
);
create index runs_unsettled on runs (requested_at, run_id) where not settled;
create index runs_youngest_first on runs (requested_at desc, run_id desc);

-- Nothing leaves a terminal state, and a verdict is not taken back: also not by a defect of the program.
create function keep_verdict() returns trigger
  language plpgsql
  set search_path = pg_catalog, pg_temp
as $$
begin
  if old.verdict is not null and new.verdict is distinct from old.verdict then
    raise exception using errcode = '23514', message = 'the verdict on a run is not taken back';
  end if;
  if old.state in ('READY', 'FAILED', 'QUARANTINED') and new.state <> old.state then
    raise exception using errcode = '23514', message = 'nothing leaves a terminal state of a run';
  end if;
  return new;
end
$$;
create trigger keep_verdict before update on runs for each row execute function keep_verdict();

-- Who advances a run. The token rises with every holder; each write that advances a run names the token that it was made
-- under and is refused once a later one is out.
create table leases (
  run_id text primary key references runs,
  token bigint not null,
  holder text not null,
  expires_at timestamptz not null
) with (fillfactor = 50);

-- What happened to a run, in order (law R7).
create table run_events (
  run_id text not null references runs,
  seq integer not null,
  at timestamptz not null,
  event text not null,
  data jsonb not null,
  primary key (run_id, seq)
);
select probity.make_append_only('run_events');

-- A run is superseded by one other at most, so that corrections form a line and not a tree.
create table supersessions (
  superseded_run_id text primary key references runs,
  run_id text not null unique references runs,
  reason text not null,
  at timestamptz not null
);
select probity.make_append_only('supersessions');

-- The first seal of a world with which a run came out complete. Another one is another materialisation of the same
-- identity, whoever exchanged it and however well its parts agree with each other.
create table world_seals (
  manifest_fingerprint text primary key,
  seal_digest text not null,
  run_id text not null references runs,
  at timestamptz not null
);
select probity.make_append_only('world_seals');

-- READY signals that are known to stand on the bus.
create table signals (
  message_id text primary key,
  run_id text not null references runs,
  topic text not null,
  partition integer not null,
  record_offset bigint not null,
  at timestamptz not null
);
select probity.make_append_only('signals');
