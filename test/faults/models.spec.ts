import { modelsSuite } from '../e2e/models.cases.js';

modelsSuite('embedded', ['all']);
