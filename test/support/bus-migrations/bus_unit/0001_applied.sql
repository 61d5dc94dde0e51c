-- What a unit of the tests keeps: facts by name, and its positions on the bus beside them (law R5).
create table applied (name text primary key, value bigint not null);

create table positions (
  topic text not null,
  partition integer not null,
  next_offset bigint not null,
  primary key (topic, partition)
);

-- Every effect of every batch: a record applied twice would be two rows. No key on purpose, so that nothing hides it.
create table effects (topic text not null, partition integer not null, record_offset bigint not null, word text not null);
