/* Counts what MPI sends between processes; each prints it at the end. Loaded before a program by LD_PRELOAD. */
#include <mpi.h>
#include <stdio.h>

static long long bytes, messages;

static void count(int length, MPI_Datatype type) {
  int size;
  PMPI_Type_size(type, &size);
  bytes += (long long)length * size;
  messages++;
}

int MPI_Send(const void *data, int length, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  count(length, type);
  return PMPI_Send(data, length, type, to, tag, comm);
}

int MPI_Isend(const void *data, int length, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
  count(length, type);
  return PMPI_Isend(data, length, type, to, tag, comm, request);
}

int MPI_Sendrecv(const void *data, int length, MPI_Datatype type, int to, int tag, void *received, int received_length,
                 MPI_Datatype received_type, int from, int received_tag, MPI_Comm comm, MPI_Status *status) {
  count(length, type);
  return PMPI_Sendrecv(data, length, type, to, tag, received, received_length, received_type, from, received_tag, comm,
                       status);
}

int MPI_Finalize(void) {
  printf("MPI TRAFFIC %lld bytes %lld messages\n", bytes, messages);
  fflush(stdout);
  return PMPI_Finalize();
}
