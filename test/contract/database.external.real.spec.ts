import { databaseContract } from '../../src/substrate/database/database.contract.js';
import { openTestPostgres } from '../support/database.js';

databaseContract('external', () => openTestPostgres('external'));
