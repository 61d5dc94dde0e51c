-- What writers submitted, batch by batch, and what came of it. What is refused leaves no label: here it is counted.
create table submissions (
  number bigint generated always as identity primary key,
  run_id text not null,
  namespace text not null,
  submitted integer not null check (submitted > 0),
  duplicate integer not null,
  rejected integer not null,
  -- Numbers of the ledger that were accepted: one that is there no longer is named by it.
  accepted bigint[] not null,
  -- The first that were refused: handle and code.
  refusals jsonb not null,
  at timestamptz not null
);
create index submissions_of_run on submissions (run_id, number);

-- What stood in the ledger before this was submitted and accepted; what was refused then nobody counted.
insert into submissions (run_id, namespace, submitted, duplicate, rejected, accepted, refusals, at)
select run_id, namespace, count(*), 0, 0, array_agg(seq order by seq), '[]', clock_timestamp()
from labels where namespace <> 'world' group by run_id, namespace;
select probity.make_append_only('label_store.submissions');

-- Rows of sealed labels that the policy does not want. Of feeds from before null: they were not counted.
alter table feeds add column passed_over bigint;
alter table feeds alter column passed_over set default 0;
update feeds set passed_over = 0 where state = 'WAITING' and next_row = 0;
