-- What the payment of a case names, and why it was decided so: for finding cases alike. Made from the records on the bus, and made again when
-- `marks_state` is set back to PENDING. ABSENT: the records are gone.
alter table cases add column marks_state text not null default 'PENDING' check (marks_state in ('PENDING', 'READ', 'ABSENT'));
create index cases_without_marks on cases (number) where marks_state = 'PENDING';

create table case_marks (
  case_id text not null,
  kind text not null,
  value text not null,
  -- Cases are alike within their run alone.
  run_id text not null,
  -- That of the case: the youngest of many come first.
  number bigint not null,
  primary key (case_id, kind, value)
);
create index case_marks_alike on case_marks (run_id, kind, value, number desc);
