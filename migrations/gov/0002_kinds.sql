-- Facts of every kind; which kinds there are is said by the schema of the fact. Rows from before have no operation, and are read as version 1.
alter table facts drop constraint facts_kind_check;
alter table facts add constraint facts_kind_check check (kind ~ '^[A-Z][A-Z0-9_]*$');

alter table facts add column op_id text;
create index facts_of_operation on facts (op_id) where op_id is not null;
create index facts_of_kind on facts (kind, number);

-- Activations in their order. Each becomes an object of the same number, which running processes follow; told: it stands there.
create table activations (
  seq bigint primary key check (seq > 0),
  fact_id text not null unique references facts (fact_id),
  record jsonb not null
);
select probity.make_append_only('gov.activations');

create table activations_to_put (
  seq bigint primary key references activations (seq)
);
