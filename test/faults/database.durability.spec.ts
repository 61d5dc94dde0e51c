import { openTestPostgres } from '../support/database.js';
import { databaseDurability } from '../support/database-durability.js';

databaseDurability('embedded', () => openTestPostgres('embedded'));
