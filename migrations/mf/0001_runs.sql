-- What was asked for, once per request id (law R6).
create table requests (
  request_id text primary key,
  request_digest text not null,
  request jsonb not null,
  train_run_id text not null,
  actor jsonb not null,
  at timestamptz not null
);
select probity.make_append_only('mf.requests');

-- What is to be made, with everything settled that has a meaning. The id follows from it.
create table runs (
  number bigint generated always as identity primary key,
  train_run_id text not null unique,
  plan jsonb not null,
  actor jsonb not null,
  at timestamptz not null
);
select probity.make_append_only('mf.runs');

-- Where each run got to, for ever (law R7): the last row is where it stands. A row TRAINING is one beginning of a training.
create table states (
  train_run_id text not null references runs (train_run_id),
  seq integer not null,
  state text not null
    check (state in ('QUEUED', 'RESOLVING', 'TRAINING', 'EVAL_READY', 'GATED', 'PUBLISH_PENDING', 'PUBLISHED',
                     'REJECTED_INPUTS', 'FAILED_GATES', 'FAILED_CONFLICT', 'FAILED_RETRY_EXHAUSTED', 'CANCELLED')),
  detail jsonb not null,
  -- The lease that it was written under; null for what people ask for.
  token bigint,
  at timestamptz not null,
  primary key (train_run_id, seq)
);
select probity.make_append_only('mf.states');

-- What a finished stage came to: who takes a run up does not do it again.
create table stages (
  train_run_id text not null references runs (train_run_id),
  stage text not null check (stage in ('RESOLVED', 'TRAINED', 'PUBLISHED')),
  receipt jsonb not null,
  token bigint not null,
  at timestamptz not null,
  primary key (train_run_id, stage)
);
select probity.make_append_only('mf.stages');

-- Who works on a run, and when the next try is due. The token rises with every holder; each write names the token that it was made
-- under and is refused once a later one is out.
create table work (
  train_run_id text primary key references runs (train_run_id),
  token bigint not null,
  holder text not null,
  expires_at timestamptz not null,
  -- Whether anybody wants it in the registry once it has passed.
  publish boolean not null,
  -- Tries in a row that came to nothing, and why the last one did.
  tries integer not null,
  last_code text,
  due_at timestamptz not null
) with (fillfactor = 50);
