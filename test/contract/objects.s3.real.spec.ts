import { objectsContract } from '../../src/substrate/objects/objects.contract.js';
import { s3Harness } from '../support/objects-harness.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

const MIB = 1024 * 1024;

// Two parts of 16 MiB under way, each of them copied once by the client, and what the collector has not yet taken.
objectsContract('s3', s3Harness, { streamBytes: (FULL ? 1024 : 256) * MIB + 4_711, growthBytesMax: 128 * MIB });
