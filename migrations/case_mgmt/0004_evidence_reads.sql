-- Who read which evidence, what for, and what came of it, for ever: written before a byte leaves.
create table evidence_reads (
  number bigint generated always as identity primary key,
  case_id text not null,
  -- In the list of evidence of the case, from 1, as it was asked for.
  place integer not null,
  kind text,
  evidence_id text,
  actor_id text not null,
  purpose text not null,
  outcome text not null check (outcome in ('GIVEN', 'REFUSED')),
  -- Why it was refused.
  code text,
  -- Of the bytes that were given.
  digest text,
  read_at timestamptz not null
);
create index evidence_reads_of_case on evidence_reads (case_id, number);
select probity.make_append_only('case_mgmt.evidence_reads');
