-- Who ended a build, where a person did. Of builds that were cancelled before this was kept nobody knows it.
alter table states add column actor jsonb;

-- What was asked for and how it ended, in the order of time.
create index requests_by_time on requests (at);
create index states_by_time on states (at) where state in ('DONE', 'FAILED', 'UNCHECKABLE', 'CANCELLED');
