export { type ContractCheck, type ContractSubject, memoryContract } from "./memory-contract.js";
