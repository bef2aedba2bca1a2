// Arrays in the memory of the device that LAMMPS runs on by Kokkos.
#pragma once

#include <kokkos_type.h>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace vitreous {

// False where Kokkos runs on the host itself.
inline constexpr bool kOnDevice = !std::is_same_v<LMPDeviceType, LMPHostType>;

template <class Number>
using DeviceArray = Kokkos::View<Number *, Kokkos::LayoutRight, LMPDeviceType>;
template <class Number>
using HostArray = Kokkos::View<Number *, Kokkos::LayoutRight, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>;
using DeviceRange = Kokkos::RangePolicy<LMPDeviceType, Kokkos::IndexType<std::int64_t>>;

template <class Number>
auto first_of(const DeviceArray<Number> &array, std::size_t count) {
  return Kokkos::subview(array, std::make_pair(std::size_t(0), count));
}

// Makes an array as large, with some room to grow; what was in it is lost if it was smaller.
template <class Number>
void make_room(DeviceArray<Number> &array, std::size_t count) {
  if (array.extent(0) < count)
    array = DeviceArray<Number>(Kokkos::view_alloc(Kokkos::WithoutInitializing, "vitreous"), count + count / 8);
}

template <class Number>
void to_device(std::vector<Number> &values, DeviceArray<Number> &array) {
  make_room(array, values.size());
  Kokkos::deep_copy(first_of(array, values.size()), HostArray<Number>(values.data(), values.size()));
}

template <class Number>
std::vector<Number> to_host(const DeviceArray<Number> &array, std::size_t count) {
  std::vector<Number> values(count);
  Kokkos::deep_copy(HostArray<Number>(values.data(), count), first_of(array, count));
  return values;
}

// Of numbers that torch owns.
template <class Number>
std::vector<Number> to_host(const Number *numbers, std::size_t count) {
  using Foreign = Kokkos::View<const Number *, Kokkos::LayoutRight, LMPDeviceType, Kokkos::MemoryUnmanaged>;
  std::vector<Number> values(count);
  Kokkos::deep_copy(HostArray<Number>(values.data(), count), Foreign(numbers, count));
  return values;
}

}  // namespace vitreous
