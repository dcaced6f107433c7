dataiter = iter(testloader)
images, labels = dataiter.next() # 4 images, (4,3,32,32)
outputs = net(images) # outputs: (4, 10)
_, predicted = torch.max(outputs, 1) 
print('Predicted: ', ' '.join('%5s' % classes[predicted[j]]
                              for j in range(4)))
