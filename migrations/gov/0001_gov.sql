-- Every change of what is in force, as a fact with an author. Facts are for ever; what stands here besides is what is still to be told.

create table facts (
  number bigint generated always as identity primary key,
  fact_id text not null unique,
  kind text not null check (kind in ('POLICY_IN_FORCE')),
  subject text not null,
  fact jsonb not null,
  observed_at timestamptz not null
);
create index facts_by_time on facts (observed_at, number);
select probity.make_append_only('gov.facts');

create index facts_of_subject on facts (subject, number);

-- Locked while a process compares its own with the last fact about each policy, so that two that start at once make one fact.
create table turn (single boolean primary key default true check (single));
insert into turn default values;

-- Facts that the control topic has not got yet. Working state: a row goes when the bus has answered.
create table outbox (
  number bigint primary key
);
