-- Who ended a run, where a person did. Of runs that were cancelled before this was kept nobody knows it.
alter table states add column actor jsonb;

-- What was asked for, what the gates said and how it ended, in the order of time.
create index requests_by_time on requests (at);
create index states_by_time on states (at)
  where state in ('GATED', 'REJECTED_INPUTS', 'FAILED_GATES', 'FAILED_CONFLICT', 'FAILED_RETRY_EXHAUSTED', 'CANCELLED');
