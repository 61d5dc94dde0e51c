-- For whoever asks for the leaves that say what a record lacks: there are few.
create index leaves_quarantined on leaves (leaf) where kind = 'quarantine';
