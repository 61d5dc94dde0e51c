-- What was asked for, once per request id (law R6).
create table requests (
  request_id text primary key,
  intent_digest text not null,
  intent jsonb not null,
  plan_id text not null,
  actor jsonb not null,
  at timestamptz not null
);
select probity.make_append_only('ofs.requests');

-- What is to be built, with everything settled that has a meaning. The id is the digest of the plan, and the dataset's own.
create table plans (
  number bigint generated always as identity primary key,
  plan_id text not null unique,
  run_id text not null,
  plan jsonb not null,
  actor jsonb not null,
  at timestamptz not null
);
create index plans_by_run on plans (run_id, number);
select probity.make_append_only('ofs.plans');

-- Where each build got to, for ever (law R7): the last row is where it stands.
create table states (
  plan_id text not null references plans (plan_id),
  seq integer not null,
  state text not null
    check (state in ('QUEUED', 'PINNING', 'RUNNING', 'PUBLISH_PENDING', 'DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED')),
  detail jsonb not null,
  -- The lease that it was written under; null for what people ask for.
  token bigint,
  at timestamptz not null,
  primary key (plan_id, seq)
);
select probity.make_append_only('ofs.states');

-- What a finished stage came to: who takes a build up does not do it again.
create table stages (
  plan_id text not null references plans (plan_id),
  stage text not null,
  receipt jsonb not null,
  token bigint not null,
  at timestamptz not null,
  primary key (plan_id, stage)
);
select probity.make_append_only('ofs.stages');

-- Who builds. The token rises with every holder; each write names the token that it was made under and is refused once a later
-- one is out.
create table leases (
  plan_id text primary key references plans (plan_id),
  token bigint not null,
  holder text not null,
  expires_at timestamptz not null
) with (fillfactor = 50);
